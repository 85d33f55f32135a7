import { type Server, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const pollMs = 5;
const limitMs = 10_000;

/**
 * A lock among the processes of a host that share its network: those in containers with a network of their own do not see it. It is the
 * name of a socket in the kernel, which goes with the process that has it; nobody connects to it. Where there are no such names, and
 * after ten seconds, everyone gets it.
 */
export class HostLock {
  readonly #address: string | undefined;
  #holders = 0;
  #taken: Promise<Server | undefined> | undefined;

  constructor(name: string) {
    this.#address = process.platform === 'linux' ? `\0opencode-tools/${name}` : undefined;
  }

  /** Resolves once this process has it, however many of its parts hold it. @returns gives it back */
  async hold(): Promise<() => void> {
    this.#holders += 1;
    const taken = (this.#taken ??= this.#take());
    await taken;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holders -= 1;
      if (this.#holders > 0) return;
      this.#taken = undefined;
      void taken.then((server) => server?.close());
    };
  }

  async #take(): Promise<Server | undefined> {
    const address = this.#address;
    if (address === undefined) return undefined;
    const deadline = performance.now() + limitMs;
    for (;;) {
      const server = await listen(address);
      if (server !== 'taken') return server;
      if (performance.now() > deadline) return undefined;
      await delay(pollMs);
    }
  }
}

async function listen(address: string): Promise<Server | 'taken' | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EADDRINUSE' ? 'taken' : undefined));
    server.listen(address, () => resolve(server.unref()));
  });
}
