/** Loaded before an example: a failed `console.assert` ends it instead of printing. */
console.assert = (condition?: boolean, ...data: ReadonlyArray<unknown>): void => {
  if (condition !== true) throw new Error(["console.assert failed", ...data.map(String)].join(": "))
}
