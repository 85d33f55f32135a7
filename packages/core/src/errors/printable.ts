const maxLength = 2_000;

/**
 * Makes text from a process, a URL or the engine fit for a message: control characters and terminal escapes are
 * removed, line breaks kept, and anything past 2,000 characters is cut with a mark.
 */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex
  const clean = text
    .replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, '')
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '');
  return clean.length > maxLength ? `${clean.slice(0, maxLength)}… (${clean.length - maxLength} more)` : clean;
}
