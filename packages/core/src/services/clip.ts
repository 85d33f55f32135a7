/** The first line of a text, at most `max` characters, never cut within a character. */
export function clip(text: string, max: number): string {
  const line = text.split('\n', 1)[0] ?? '';
  return line.length <= max
    ? line.toWellFormed()
    : `${line.slice(0, max - 1).replace(/[\ud800-\udbff]$/, '')}…`.toWellFormed();
}
