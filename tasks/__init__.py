"""Built-in tasks: one file per dataset family; the file's name is the task's name."""
