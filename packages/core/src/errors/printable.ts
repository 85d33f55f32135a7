const maxLength = 2_000;

/** ECMA-48: control sequences (CSI), and strings (DCS, SOS, OSC, PM, APC) to their terminator, in the 7-bit and 8-bit forms. */
const controlSequence = /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]/g;
const controlString =
  /(?:\u001b[PX\]^_]|[\u0090\u0098\u009d-\u009f])[^\u0007\u001b\u0090\u0098\u009c-\u009f]*(?:\u0007|\u001b\\|\u009c)/g;
const controlCharacter = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/**
 * Makes text from a process, a URL or the engine fit for a message: control characters and terminal escapes are
 * removed, line breaks kept, lone surrogates replaced, and anything past 2,000 characters is cut with a mark. What comes out
 * can be recorded: canonical JSON refuses text that is not valid Unicode.
 */
export function printable(text: string): string {
  const clean = text
    .replace(controlString, '')
    .replace(controlSequence, '')
    .replace(controlCharacter, '')
    .toWellFormed();
  if (clean.length <= maxLength) return clean;
  const kept = clean.slice(0, maxLength).replace(/[\ud800-\udbff]$/, '');
  return `${kept}… (${clean.length - kept.length} more)`;
}
