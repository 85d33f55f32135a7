import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Kernel } from './kernel.ts';

/** An engine names its runtimes; asking it at once spares every later command the refusal. */
export async function assertRuntime(kernel: Kernel, runtime: string | null): Promise<void> {
  if (runtime === null) return;
  const { runtimes } = await kernel.deps.runtime.capabilities();
  if (runtimes.includes(runtime)) return;
  throw new OpencodeToolsError('OCT_CAPABILITY_UNSUPPORTED', `The engine has no runtime ${runtime}`, {
    remedy: `Give one of: ${runtimes.join(', ')}.`,
    details: { argument: 'runtime' },
  });
}
