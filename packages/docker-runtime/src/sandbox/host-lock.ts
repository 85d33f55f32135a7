import { type Server, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const pollMs = 5;
const limitMs = 10_000;

interface Held {
  holders: number;
  readonly taken: Promise<Server | undefined>;
}

/** A process is one holder, however many homes it has open. */
const heldByProcess = new Map<string, Held>();

/**
 * A lock among the processes of a host that share its network: those in containers with a network of their own do not see it. It is the
 * name of a socket in the kernel, which goes with the process that has it; nobody connects to it. Where there are no such names, and
 * after ten seconds, everyone gets it.
 */
export class HostLock {
  readonly #address: string;

  constructor(name: string) {
    this.#address = `\0opencode-tools/${name}`;
  }

  /** Resolves once this process has it, however many of its parts hold it. @returns gives it back */
  async hold(): Promise<() => void> {
    const address = this.#address;
    const held = heldByProcess.get(address) ?? { holders: 0, taken: take(address) };
    heldByProcess.set(address, held);
    held.holders += 1;
    const server = await held.taken;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      held.holders -= 1;
      if (held.holders > 0) return;
      heldByProcess.delete(address);
      server?.close();
    };
  }
}

async function take(address: string): Promise<Server | undefined> {
  if (process.platform !== 'linux') return undefined;
  const deadline = performance.now() + limitMs;
  for (;;) {
    const server = await listen(address);
    if (server !== 'taken') return server;
    if (performance.now() > deadline) return undefined;
    await delay(pollMs);
  }
}

async function listen(address: string): Promise<Server | 'taken' | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EADDRINUSE' ? 'taken' : undefined));
    server.listen(address, () => resolve(server.unref()));
  });
}
