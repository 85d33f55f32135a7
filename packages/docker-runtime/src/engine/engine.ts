import { type EndpointAnswer, OpencodeToolsError } from '@opencode-tools/core';
import { type EngineClient, createEngineClient } from './engine-client.ts';
import { type Endpoint, type Environment, findEndpoints } from './find-endpoints.ts';

export interface FoundEngine {
  readonly client: EngineClient;
  readonly endpoint: Endpoint;
}

const pingLimitMs = 3_000;

/** The engine in use: looked for at the first call, then kept while it answers. */
export class Engine {
  readonly #environment: Environment;
  readonly #endpoint: string | undefined;
  #found: Promise<FoundEngine> | undefined;

  constructor(environment: Environment, endpoint?: string) {
    this.#environment = environment;
    this.#endpoint = endpoint;
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
    return Promise.all(endpoints.map(async (endpoint) => (await ping(endpoint)).answer));
  }

  async #search(): Promise<FoundEngine> {
    const answers: EndpointAnswer[] = [];
    for (const endpoint of findEndpoints(this.#environment, this.#endpoint)) {
      const { answer, client } = await ping(endpoint);
      if (client) return { client, endpoint };
      answers.push(answer);
    }
    throw unavailable(answers);
  }
}

async function ping(endpoint: Endpoint): Promise<{ answer: EndpointAnswer; client?: EngineClient }> {
  const asked = { endpoint: endpoint.url, origin: endpoint.origin };
  try {
    const client = await createEngineClient(endpoint);
    await client.call({ method: 'GET', path: '/_ping', limitMs: pingLimitMs });
    return { answer: { ...asked, answered: true, message: 'OK' }, client };
  } catch (error) {
    return { answer: { ...asked, answered: false, message: reason(error) } };
  }
}

function reason(error: unknown): string {
  const cause = error instanceof Error ? (error.cause as { code?: string } | undefined) : undefined;
  if (cause?.code === 'ENOENT') return 'no such socket';
  if (cause?.code === 'EACCES') return 'permission denied (is this user in the group of the socket?)';
  if (cause?.code === 'ECONNREFUSED') return 'nothing listens there';
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^The engine at \S+ is not available: /, '');
}

function unavailable(answers: readonly EndpointAnswer[]): OpencodeToolsError {
  const lines = answers.map(({ endpoint, origin, message }) => `  ${endpoint} (${origin}): ${message}`);
  return new OpencodeToolsError('OCT_ENGINE_UNAVAILABLE', `No Docker Engine answers:\n${lines.join('\n')}`, {
    remedy: 'Start the Docker Engine, or set DOCKER_HOST to the address of one that runs.',
    details: { answers: answers.map(({ endpoint, origin, message }) => ({ endpoint, origin, message })) },
  });
}
