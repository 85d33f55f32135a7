import { constants, existsSync } from 'node:fs';
import { chmod, link, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createHash, randomUUID } from 'node:crypto';
import type { NetworkFiles, TaskId } from '@opencode-tools/core';
import { installGatewayProgram, readGatewayProgram } from './gateway-program.ts';
import { createAuthority } from './gateway/certificates.ts';
import { javaStore } from './java-store.ts';
import type { GatewayStatus } from './gateway/gateway.ts';
import type { CountedPackets } from './unroutable-log.ts';
import { type GatewaySettings, type TaskPolicy, parsePolicy } from './gateway/task-policy.ts';

const noNetwork = '# no network\n';
const reading = constants.O_RDONLY | constants.O_NOFOLLOW;

/** What a home keeps for its gateway, and for sandboxes to find it by. */
export class GatewayFiles {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Makes what is not there yet: directories, the home's authority (its key readable by the owner only), settings and program.
   *
   * @returns the program's path in the gateway, and a name for all of it together
   */
  async ensure(settings: GatewaySettings, nowMs: number): Promise<{ readonly main: string; readonly version: string }> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    for (const name of ['policies', 'names', 'authority', 'trust', 'program', 'counted', 'out', 'out/log'])
      await mkdir(join(this.#directory, name), {
        recursive: true,
        mode: name === 'trust' || name === 'names' ? 0o755 : 0o700,
      });
    const authority = await this.#ensureAuthority(nowMs);
    await this.#ensureTrust(authority);
    const text = JSON.stringify(settings);
    await this.#replace('settings.json', text);
    const program = await readGatewayProgram();
    const main = await installGatewayProgram(join(this.#directory, 'program'), program);
    const version = createHash('sha256').update(`${program.digest}\0${text}\0${authority}`).digest('hex').slice(0, 32);
    return { main, version };
  }

  get directory(): string {
    return this.#directory;
  }

  async owner(): Promise<{ readonly uid: number; readonly gid: number }> {
    const { uid, gid } = await stat(this.#directory);
    return { uid, gid };
  }

  /** The files of a sandbox; one that was there stays the same file, because containers hold on to it. */
  async filesFor(taskId: TaskId): Promise<NetworkFiles> {
    const nameServerFile = join(this.#directory, 'names', taskId);
    if (!existsSync(nameServerFile)) await writeFile(nameServerFile, noNetwork, { flag: 'a', mode: 0o644 });
    await chmod(nameServerFile, 0o644);
    return { nameServerFile, trustDirectory: join(this.#directory, 'trust') };
  }

  async writeNameServer(taskId: TaskId, address: string | null): Promise<void> {
    const file = join(this.#directory, 'names', taskId);
    if (!existsSync(file)) return;
    const wanted = address === null ? noNetwork : `nameserver ${address}\noptions timeout:2 attempts:2\n`;
    if ((await readFile(file, 'utf8')) !== wanted) await writeFile(file, wanted);
  }

  async removeNameServer(taskId: TaskId): Promise<void> {
    await rm(join(this.#directory, 'names', taskId), { force: true });
  }

  async readPolicy(taskId: TaskId): Promise<TaskPolicy | undefined> {
    const text = await this.#read(`policies/${taskId}.json`);
    return text === undefined ? undefined : parsePolicy(text);
  }

  async writePolicy(policy: TaskPolicy): Promise<void> {
    await this.#replace(`policies/${policy.taskId}.json`, JSON.stringify(policy, null, 2));
  }

  /** @returns whether there was one */
  async removePolicy(taskId: TaskId): Promise<boolean> {
    const file = join(this.#directory, `policies/${taskId}.json`);
    const existed = existsSync(file);
    await rm(file, { force: true });
    return existed;
  }

  async readCounted(taskId: TaskId): Promise<CountedPackets | undefined> {
    const text = await this.#read(`counted/${taskId}.json`);
    return text === undefined ? undefined : (JSON.parse(text) as CountedPackets);
  }

  async writeCounted(taskId: TaskId, counted: CountedPackets | undefined): Promise<void> {
    const name = `counted/${taskId}.json`;
    if (counted === undefined) await rm(join(this.#directory, name), { force: true });
    else await this.#replace(name, JSON.stringify(counted));
  }

  async readStatus(): Promise<GatewayStatus | undefined> {
    const text = await this.#read('out/status.json');
    return text === undefined ? undefined : (JSON.parse(text) as GatewayStatus);
  }

  logFile(taskId: TaskId): string {
    return join(this.#directory, 'out/log', `${taskId}.jsonl`);
  }

  /** The first process that makes one wins; all others take it over. */
  async #ensureAuthority(nowMs: number): Promise<string> {
    const certificate = await this.#read('authority/certificate.pem');
    if (certificate !== undefined) return certificate;
    const made = createAuthority('opencode-tools home authority', nowMs);
    const both = join(this.#directory, `authority/.${randomUUID()}`);
    try {
      await writeFile(both, made.key, { mode: 0o600 });
      await link(both, join(this.#directory, 'authority/key.pem'));
      await this.#replace('authority/certificate.pem', made.certificate);
      return made.certificate;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      return await this.#otherAuthority();
    } finally {
      await rm(both, { force: true });
    }
  }

  async #otherAuthority(): Promise<string> {
    for (let attempt = 0; attempt < 100; attempt += 1) {
      const certificate = await this.#read('authority/certificate.pem');
      if (certificate !== undefined) return certificate;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    // Whoever made the key died before it wrote the certificate.
    await rm(join(this.#directory, 'authority/key.pem'), { force: true });
    return this.#ensureAuthority(Date.now());
  }

  async #ensureTrust(authority: string): Promise<void> {
    // Node loads its authorities, and TLS with them, for nobody who needs no gateway.
    const { rootCertificates } = await import('node:tls');
    const all = [...rootCertificates, authority];
    await this.#replace('trust/ca.pem', authority, 0o644);
    const bundle = all.join('\n');
    // The bundle last: one that is as it should be says that the store is, too.
    const isSame = (await this.#read('trust/bundle.pem')) === bundle;
    if (!isSame || !existsSync(join(this.#directory, 'trust/store.jks')))
      await this.#write('trust/store.jks', javaStore(all), 0o644);
    if (!isSame) await this.#write('trust/bundle.pem', bundle, 0o644);
  }

  async #replace(name: string, content: string, mode = 0o600): Promise<void> {
    if ((await this.#read(name)) !== content) await this.#write(name, content, mode);
  }

  async #write(name: string, content: string | Uint8Array, mode: number): Promise<void> {
    const file = join(this.#directory, name);
    const fresh = `${file}.${randomUUID()}`;
    await writeFile(fresh, content, { mode });
    await rename(fresh, file);
  }

  async #read(name: string): Promise<string | undefined> {
    try {
      await using file = await open(join(this.#directory, name), reading);
      return await file.readFile('utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }
}
