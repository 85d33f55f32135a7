import { type EndpointAnswer, OpencodeToolsError } from '@opencode-tools/core';
import { type SpokenVersions, chooseApiVersion, oldestApiVersion } from './api-version.ts';
import { type EngineClient, createEngineClient } from './engine-client.ts';
import { type Endpoint, type Environment, findEndpoints } from './find-endpoints.ts';
import { whyUnreachable } from './unreachable.ts';

export interface FoundEngine {
  readonly client: EngineClient;
  readonly endpoint: Endpoint;
  /** The version of the engine's API that is spoken. */
  readonly apiVersion: string;
  /** What the engine calls the architecture of its machine, such as `amd64`; empty when it says nothing. */
  readonly architecture: string;
}

const pingLimitMs = 3_000;

/** The engine in use: looked for at the first call, then kept while it answers. */
export class Engine {
  readonly #environment: Environment;
  readonly #endpoint: string | undefined;
  readonly #quietMs: number | undefined;
  #found: Promise<FoundEngine> | undefined;

  /** @param quietMs how long an engine may pass on nothing of what is read or written as a stream */
  constructor(environment: Environment, endpoint?: string, quietMs?: number) {
    this.#environment = environment;
    this.#endpoint = endpoint;
    this.#quietMs = quietMs;
  }

  /** @throws OpencodeToolsError `OCT_ENGINE_UNAVAILABLE` listing what each endpoint answered */
  async find(): Promise<FoundEngine> {
    this.#found ??= this.#search();
    try {
      return await this.#found;
    } catch (error) {
      this.#found = undefined;
      throw error;
    }
  }

  async client(): Promise<EngineClient> {
    return (await this.find()).client;
  }

  /** Asks every endpoint. */
  async ask(): Promise<readonly EndpointAnswer[]> {
    const endpoints = findEndpoints(this.#environment, this.#endpoint);
    return Promise.all(endpoints.map(async (endpoint) => (await ping(endpoint, this.#quietMs)).answer));
  }

  async #search(): Promise<FoundEngine> {
    const answers: EndpointAnswer[] = [];
    const waysOut: string[] = [];
    for (const endpoint of findEndpoints(this.#environment, this.#endpoint)) {
      const { answer, client, apiVersion, architecture = '', wayOut } = await ping(endpoint, this.#quietMs);
      if (client && apiVersion !== undefined) return { client, endpoint, apiVersion, architecture };
      answers.push(answer);
      if (wayOut !== undefined) waysOut.push(wayOut);
    }
    throw unavailable(answers, waysOut);
  }
}

interface Pinged {
  readonly answer: EndpointAnswer;
  readonly client?: EngineClient;
  readonly apiVersion?: string;
  readonly architecture?: string | undefined;
  /** What to do about this endpoint, where that is known. */
  readonly wayOut?: string;
}

/** Asks for the versions that an engine speaks; one that is too old counts as one that does not answer. */
async function ping(endpoint: Endpoint, quietMs: number | undefined): Promise<Pinged> {
  const asked = { endpoint: endpoint.url, origin: endpoint.origin };
  const { fault } = endpoint;
  if (fault !== undefined)
    return { answer: { ...asked, answered: false, message: fault.message }, wayOut: fault.remedy };
  try {
    const unversioned = await createEngineClient(endpoint);
    const spoken = await unversioned.call<SpokenVersions>({ method: 'GET', path: '/version', limitMs: pingLimitMs });
    const apiVersion = chooseApiVersion(spoken);
    if (apiVersion === undefined) return { answer: { ...asked, answered: false, message: tooOld(spoken) } };
    const client = await createEngineClient(endpoint, apiVersion, quietMs);
    return { answer: { ...asked, answered: true, message: 'OK' }, client, apiVersion, architecture: spoken.Arch };
  } catch (error) {
    return { answer: { ...asked, answered: false, message: whyUnreachable(error) } };
  }
}

function tooOld({ ApiVersion: version }: SpokenVersions): string {
  if (version === undefined) return 'it does not answer as a Docker Engine does';
  return `it speaks API ${version}, and ${oldestApiVersion} is needed: update it to Docker Engine 20.10 or newer`;
}

function unavailable(answers: readonly EndpointAnswer[], waysOut: readonly string[]): OpencodeToolsError {
  const lines = answers.map(
    ({ endpoint, origin, message }) => `  ${endpoint === '' ? origin : `${endpoint} (${origin})`}: ${message}`,
  );
  return new OpencodeToolsError('OCT_ENGINE_UNAVAILABLE', `No Docker Engine answers:\n${lines.join('\n')}`, {
    remedy: waysOut[0] ?? 'Start a Docker Engine (20.10 or newer), or set DOCKER_HOST to the address of one that runs.',
    details: { answers: answers.map(({ endpoint, origin, message }) => ({ endpoint, origin, message })) },
  });
}
