import { readOutput } from '../lane/read-output.ts';
import { baseEnvironment } from '../plan/container-options.ts';
import type { SandboxInside } from './sandbox-inside.ts';

const limits = { bytes: 4_096, ms: 20_000 };
const kibibyte = 1024;

/**
 * Has the sandbox count a directory, as the user of its commands: what that user cannot read is not counted. A process of its
 * own, so that no command waits for it. Null when the image has nothing that counts, or the count takes too long.
 */
export async function measureDirectory(link: SandboxInside, directory: string): Promise<number | null> {
  const { uid, gid } = link.user;
  const options = { user: `${uid}:${gid}`, env: [...baseEnvironment], argv: ['du', '-skx', directory] };
  const said = await readOutput((await link.starts.open(options)).stream, limits);
  const [, kibibytes] = /^(\d+)\s/.exec(said) ?? [];
  return kibibytes === undefined ? null : Number(kibibytes) * kibibyte;
}
