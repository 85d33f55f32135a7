import { gunzipSync } from 'node:zlib';
import { OpencodeToolsError } from '@opencode-tools/core';
import { laneLoaders, lanePrograms } from './lane-programs.ts';

const texts = new Map<string, string>();
const backslash = 0x5c;
const percent = 0x25;
const colon = 0x3a;
const octal = 8;

/**
 * What a container makes its supervisor of: `lane/load.c`, written so that the `printf` of any shell gives its bytes back, a colon, and
 * the supervisor.
 *
 * @throws OpencodeToolsError as `laneProgram`
 */
export function laneProgramText(architecture: string): string {
  const known = texts.get(architecture);
  if (known !== undefined) return known;
  const text = programText(architecture, lanePrograms);
  texts.set(architecture, text);
  return text;
}

/**
 * Any program of ours in that form.
 *
 * @throws OpencodeToolsError as `laneProgram`
 */
export function programText(architecture: string, programs: typeof lanePrograms): string {
  return `${formatFor(programIn(laneLoaders, architecture))}:${programs[architecture] ?? ''}`;
}

/**
 * The supervisor for an architecture as the engine names it.
 *
 * @throws OpencodeToolsError `OCT_CAPABILITY_UNSUPPORTED` when there is none
 */
export function laneProgram(architecture: string): Buffer {
  return programIn(lanePrograms, architecture);
}

function programIn(programs: typeof lanePrograms, architecture: string): Buffer {
  const program = programs[architecture];
  if (program === undefined) throw noProgram(architecture);
  return gunzipSync(Buffer.from(program, 'base64'));
}

/** Escapes are as short as what follows them lets them be. A colon is one as well: it ends the text. */
function formatFor(bytes: Uint8Array): string {
  let text = '';
  bytes.forEach((byte, index) => {
    if (byte === backslash || byte === percent) text += byte === percent ? '%%' : '\\\\';
    else if (byte >= 0x20 && byte < 0x7f && byte !== colon) text += String.fromCharCode(byte);
    else text += `\\${byte.toString(octal).padStart(isDigit(bytes[index + 1]) ? 3 : 1, '0')}`;
  });
  return text;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

function noProgram(architecture: string): OpencodeToolsError {
  const known = Object.keys(lanePrograms).join(' or ');
  return new OpencodeToolsError(
    'OCT_CAPABILITY_UNSUPPORTED',
    `There is no supervisor for sandboxes of an engine on ${architecture || 'an architecture that it does not name'}`,
    { remedy: `Use an engine on ${known}.`, details: { capability: 'architecture' } },
  );
}
