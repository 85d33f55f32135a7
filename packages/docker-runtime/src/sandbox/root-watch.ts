import { randomInt } from 'node:crypto';
import type { RootChange } from '@opencode-tools/core';
import type { EngineClient } from '../engine/engine-client.ts';
import { UnknownRequestError } from '../lane/lane.ts';
import { type EngineChange, rootChanges } from './root-changes.ts';
import type { SandboxInside } from './sandbox-inside.ts';

const mostMark = 2 ** 47;
/** An engine walks the whole image for its list. */
const listLimitMs = 120_000;

/**
 * What has changed in the root file system of one container. Its supervisor can prove that nothing has since the container was made, or since
 * a mark that was set before the engine listed nothing: for one that was started again.
 */
export class RootWatch {
  readonly #link: SandboxInside;
  readonly #client: EngineClient;
  /** A mark that nothing is known of yet; and one before which nothing had changed. */
  #mark: number | undefined;
  #sealed: number | undefined;
  /** The start of the container since which its supervisor is not asked: one of an earlier version does not know how. */
  #unaskedSince: string | undefined;

  constructor(link: SandboxInside, client: EngineClient) {
    this.#link = link;
    this.#client = client;
  }

  async list(): Promise<readonly RootChange[]> {
    const container = await this.#link.describe();
    if (container.HostConfig.ReadonlyRootfs === true) return [];
    const mark = this.#mark;
    const path = `/containers/${this.#link.id}/changes`;
    const answer = await this.#client.call<unknown>({ method: 'GET', path, limitMs: listLimitMs });
    // The engine says `null` of a container in which nothing changed, which the client hands over as raw bytes.
    const changes = Array.isArray(answer) ? (answer as readonly EngineChange[]) : [];
    const tmpfs = Object.keys(container.HostConfig.Tmpfs ?? {});
    const found = rootChanges(changes, [...container.Mounts.map((mount) => mount.Destination), ...tmpfs]);
    if (found.length === 0) this.#sealed = mark;
    return found;
  }

  /** @param insists opens another lane where none is free */
  async isUntouched(insists = false): Promise<boolean> {
    const { State, HostConfig } = await this.#link.describe();
    if (HostConfig.ReadonlyRootfs === true) return true;
    if (!State.Running || State.Paused || State.StartedAt === this.#unaskedSince) return false;
    try {
      return await this.#ask(insists);
    } catch (error) {
      if (error instanceof UnknownRequestError) this.#unaskedSince = State.StartedAt;
      const details = { sandbox: this.#link.id, error: String(error) };
      this.#link.logger.debug('The root file system could not be looked at', details);
      return false;
    }
  }

  async #ask(insists: boolean): Promise<boolean> {
    if (this.#sealed !== undefined) await this.#link.askOfRoot(insists, 'seal', this.#sealed);
    this.#mark = this.#sealed = undefined;
    if ((await this.#link.askOfRoot(insists, 'same')) === true) return true;
    const mark = randomInt(mostMark);
    if ((await this.#link.askOfRoot(insists, 'mark', mark)) === true) this.#mark = mark;
    return false;
  }
}
