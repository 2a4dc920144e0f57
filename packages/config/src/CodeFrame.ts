/**
 * The lines of a file around a syntax error, without the secrets that may stand on them.
 *
 * A broken file cannot be parsed, so what is secret is judged by the names on the lines: a value is hidden when
 * its key or the table it stands in may hold a credential.
 *
 * @since 0.1.0
 */
const sensitive = /key|secret|token|password|auth|credential|header|query|cookie/i
/** Keys of this package that match the pattern above and hold no secret. */
const harmless = /^\s*(max_tokens|max_output_tokens|bucket_size)\s*=/

const assignment = /^(\s*[^=#\s"'[{][^=#]*=\s*|\s*["'][^=#]*=\s*)(.*)$/
const header = /^\s*\[/

const isHidden = (lines: ReadonlyArray<string>, index: number): boolean => {
  let sawKey = false
  for (let i = index; i >= 0; i--) {
    const line = lines[i] ?? ""
    if (header.test(line) && !line.includes("=")) return sensitive.test(line.replace(/[^\]]*$/, ""))
    const match = assignment.exec(line)
    if (match !== null && !sawKey) {
      if (sensitive.test(match[1] ?? "") && !harmless.test(line)) return true
      // An inline table or a nested key may name the credential behind the first equals sign.
      if (i === index && /(api_?key|secret|password|authorization)/i.test(line)) return true
      sawKey = true
    }
  }
  return false
}

const hide = (line: string): string => {
  const match = assignment.exec(line)
  return match === null ? (header.test(line) || line.trim() === "" ? line : "***") : `${match[1] ?? ""}***`
}

/**
 * Renders the line of an error with one line before and after, and a caret below its column.
 *
 * @since 0.1.0
 * @category getters
 */
export const make = (text: string, line: number, column: number): string => {
  const lines = text.split(/\r?\n/)
  const width = String(line + 1).length
  const shown: Array<string> = []
  for (let n = Math.max(1, line - 1); n <= Math.min(lines.length, line + 1); n++) {
    const source = lines[n - 1] ?? ""
    const visible = (isHidden(lines, n - 1) ? hide(source) : source).slice(0, 160)
    shown.push(`${String(n).padStart(width)} | ${visible}`)
    if (n === line) {
      shown.push(`${" ".repeat(width)} | ${" ".repeat(Math.min(Math.max(column - 1, 0), visible.length))}^`)
    }
  }
  return shown.join("\n")
}
