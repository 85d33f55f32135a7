import { execFileSync } from 'node:child_process';
import { Readable } from 'node:stream';
import { toBytePath } from '../src/byte-path.ts';
import { AttributeProgram } from '../src/attributes/attribute-program.ts';
import { decodeAttributes, encodeAttributes } from '../src/attributes/attribute-text.ts';
import { readTar } from '../src/tar-reader.ts';
import { silentLogger } from '@opencode-tools/core';

/** Sets the attributes of a path below a directory. */
export async function setAttributes(
  programs: string,
  directory: string,
  path: string,
  attributes: Readonly<Record<string, string>>,
): Promise<void> {
  const program = new AttributeProgram(programs, silentLogger);
  const text = encodeAttributes(new Map(Object.entries(attributes)));
  const told = await program.write(toBytePath(directory), [{ path: toBytePath(path), attributes: text }]);
  if (told === undefined || told.length > 0) throw new Error(`Not set: ${JSON.stringify(told)}`);
}

/** Extended attributes of all that is in a directory and has some, as GNU tar reads them. */
export async function attributesIn(
  directory: string,
): Promise<Readonly<Record<string, Readonly<Record<string, string>>>>> {
  const words = ['-c', '--format=pax', '--xattrs', '--xattrs-include=*', '-C', directory, '.'];
  const stream = Readable.from([execFileSync('tar', words, { maxBuffer: 64 * 1024 ** 2 })]);
  const all: Record<string, Readonly<Record<string, string>>> = {};
  for await (const [{ name, attributes }] of readTar(stream))
    if (attributes !== undefined) all[name] = Object.fromEntries(decodeAttributes(attributes));
  return all;
}

const word = (value: number): string => Buffer.from(Uint32Array.of(value).buffer).toString('latin1');
const entry = (tag: number, permission: number, id = 0xffff_ffff): string => word(tag | (permission << 16)) + word(id);

/** An access control list that lets one more user in, as the kernel has it. Its mask is read and write, as of a file with mode 0660. */
export function accessList(user: number): string {
  return word(2) + entry(1, 6) + entry(2, 6, user) + entry(4, 4) + entry(16, 6) + entry(32, 0);
}

/** `cap_net_bind_service+ep` as the kernel has it. */
export const capability = word(0x0200_0001) + word(1 << 10) + word(0) + word(0) + word(0);
