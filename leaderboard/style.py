"""The looks of the page, and the script that draws its plots."""

STYLE = """
:root { color-scheme: light dark; --page: #fff; --text: #1c2024; --soft: #646b76; --line: #e3e6ea }
@media (prefers-color-scheme: dark) {
  :root { --page: #14161a; --text: #e6e8eb; --soft: #9aa2ad; --line: #2c3037 }
}
body { margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 84rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.25 }
h2 { margin: 3rem 0 .75rem; font-size: 1.25rem }
h3 { margin: 1rem 0 .25rem; font-size: .85rem; color: var(--soft) }
h2 small, .note, figcaption, th, .unranked { color: var(--soft) }
h2 small { margin-left: .4rem; font-weight: 400 }
a { color: inherit }
nav dl { gap: .25rem 1.5rem; font-size: 1rem }
nav dd { display: flex; flex-wrap: wrap; gap: 0 1rem }
h2 ~ .note { margin: 0 0 .5rem }
.scroll + .note { margin-top: .6rem }
.scroll { overflow-x: auto }
.scroll table { width: 100%; border-collapse: separate; border-spacing: 0; font-size: .9rem; overflow-wrap: normal }
.scroll th, .scroll td { padding: .4rem .5rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; white-space: nowrap }
.scroll table.narrow { width: auto; min-width: min(100%, 32rem) }
.scroll td.long, .scroll td.wide { min-width: 8rem; max-width: 18rem; white-space: normal; overflow-wrap: break-word }
.scroll .name { position: sticky; left: 0; background: var(--page) }
.scroll th { font-weight: 500; font-size: .8rem }
.scroll .number { text-align: right }
.scroll small { display: block; min-width: 10rem; max-width: 16rem; white-space: normal; color: var(--soft) }
.badge { padding: .05rem .45rem; border: 1px solid currentColor; border-radius: 1rem; font-size: .8em;
  white-space: nowrap }
@media (max-width: 40rem) {
  .scroll td.wide { max-width: none; white-space: nowrap }
  .scroll td.name { min-width: 6.5rem; overflow-wrap: anywhere }
  .scroll th, .scroll td { padding: .4rem .35rem }
}
figure { margin: 1.5rem 0 0 }
figcaption, .note { font-size: .85rem }
details { margin-top: .4rem; border-top: 1px solid var(--line); padding-top: .4rem }
summary { cursor: pointer }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; gap: .15rem 1rem; margin: 0;
  font-size: .85rem }
dt { color: var(--soft) }
dd { margin: 0 }
"""
DRAW = """
for (const script of document.querySelectorAll("script.plot")) {
  const figure = JSON.parse(script.textContent), place = document.createElement("div");
  script.after(place);
  Plotly.newPlot(place, figure.data, figure.layout, {displayModeBar: false, responsive: true});
}
"""
