import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { toBytePath, toFs } from './byte-path.ts';
import type { FoundName } from './scan-directory.ts';

/** SHA-256 of a file below a directory, in hexadecimal. */
export async function digestFile(root: string, node: FoundName): Promise<string> {
  const sum = createHash('sha256');
  for await (const chunk of createReadStream(toFs(join(toBytePath(root), node.path)))) sum.update(chunk as Buffer);
  return sum.digest('hex');
}
