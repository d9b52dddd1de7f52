"""Which GTZAN tracks train (t), choose (v) and score (e), and which are left out (-): one letter per track.

The fault-filtered split of Kereliuk, Sturm and Larsen 2015 (github.com/coreyker/dnn-mgr), without repetitions,
wrong labels and distortions.
"""

TRACKS = {
    "blues": "vvvvvvvvvvvveeeeeeeeeeeeeeeeetttttttttttttttttttttvvvvvvvvvvveeeeeeeeeeeetttttttttttttttttttttttttee",
    "classical": "vvvvvvvvvvveeeeeeeeeeeeeeeeeeetttteeeeeeee-ttttttettttttttttttttttttvvvvvvvvveeetttttttttttttttttttt",
    "country": "vvvvvvvv-vvvvvvvvvvttttttttvtteeeeeeeeeeevveeveeevee-eeeeeeeeeeeettttttttttttttttttttttttttttttttttt",
    "disco": "vevvvtvvvvvvvvvttttttetttttttttttttttt-tttttttvtvt--vtt-ttet-teeeeevvet-vttveeeeeeeeeeeeetveeeevee-e",
    "hiphop": "e-tttttttttttttttttttttttteettetttttttt-etteee-----eeeettttttteeeeeeeeeeeeee-ttttvvvvvvvvvvvvvvvvvve",
    "jazz": "ttvvvvvvvvvttttttttttttttvvvvvvvv--------t-----tttttttttttttttttttttttttteeeeeeeeeeeeeeeeeeeeeeeeeee",
    "metal": "vvtt-tvvvvvveeeevvvvvteeteeeeeeeee-tvvee------tttttttttttt-ttttttttevtetteeevvettvveteteettttttttttt",
    "pop": "eettttttttvttee-ttttt--ttttttt-tttttt-tttttet-t--tt--v-v--vvvvveeee--eeeeeeeeeeetvevvvv-eeeeeeeeettt",
    "reggae": "ttt-t-t--t-tt-ttttttttttttttttttt-eeeeeee-tttteeettteetttttttvvteeeeetvev-v-vvve--eeev-eeee-vvvvvvvv",
    "rock": "tttttttttteeeeeettttttttttteeeeeeeeeeeveeeeeeeeeevvvvvvvvttttttttttttttvvvvvvvvvvvvvvveeeeettttttttt",
}
