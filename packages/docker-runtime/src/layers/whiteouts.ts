import { sealed, special } from '../volumes/move-tar.ts';

const nameLength = 100;

/** A tar stream of names that an overlay hides: character devices 0:0. @param paths bytes as Latin-1 */
export function whiteouts(paths: readonly string[]): Buffer {
  return Buffer.concat([...paths.flatMap(member), Buffer.alloc(1024)]);
}

function member(path: string): readonly Buffer[] {
  const header = Buffer.alloc(512);
  header.write(path.slice(0, nameLength), 0, 'latin1');
  for (const at of [100, 108, 116]) header.write('0000000', at, 'latin1');
  for (const at of [124, 136]) header.write('00000000000', at, 'latin1');
  header.write('3', 156, 'latin1');
  header.write('ustar\u000000', 257, 'latin1');
  for (const at of [329, 337]) header.write('0000000', at, 'latin1');
  return [...(path.length > nameLength ? [special('L', `${path}\0`)] : []), sealed(header)];
}
