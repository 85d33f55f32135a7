import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Duplex, Readable } from 'node:stream';
import { OpencodeToolsError, isOpencodeToolsError } from '@opencode-tools/core';
import type { Endpoint } from './find-endpoints.ts';
import { EngineError } from './engine-error.ts';
import { EngineAgent } from './engine-socket.ts';
import { QuietWatch, defaultQuietMs, engineSilent, watched, whileProgressing } from './progress.ts';

export interface EngineRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'HEAD';
  /** Without query; every variable part already encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
  /** A body that is not JSON, such as a tar stream. */
  readonly file?: Readable | Buffer;
  /** Default 30,000. For a stream it ends with the response's head. */
  readonly limitMs?: number;
  /** For trees of any size: the file, and the body of a stream, may take as long as they move; `limitMs` is not for them. */
  readonly moves?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** The few ways in which this package speaks to an engine. */
export interface EngineClient {
  /** How long an engine may pass nothing on of what moves. */
  readonly quietMs: number;
  /** @throws EngineError, or OpencodeToolsError `OCT_ENGINE_UNAVAILABLE` when there is no answer in time */
  call<T>(request: EngineRequest): Promise<T>;
  /** A response whose body is read as it comes. */
  stream(request: EngineRequest): Promise<Readable>;
  /** A connection that both sides write to. */
  hijack(request: EngineRequest): Promise<Duplex>;
}

const defaultLimitMs = 30_000;
const successes = { 200: true, 201: true, 202: true, 204: true, 304: true };

interface Modem {
  dial(options: object, callback: (error: unknown, data: unknown) => void): void;
}

/**
 * Makes a client for one endpoint. dockerode is loaded here and nowhere else.
 *
 * @param apiVersion such as `1.41`, the version that the engine is spoken to in; its own when absent
 */
export async function createEngineClient(
  endpoint: Endpoint,
  apiVersion?: string,
  quietMs: number = defaultQuietMs,
): Promise<EngineClient> {
  const { default: Docker } = await import('dockerode');
  const modem = new Docker(connection(endpoint)).modem as Modem;
  const prefix = apiVersion === undefined ? '' : `/v${apiVersion}`;
  const dial = async (request: EngineRequest, mode: object): Promise<unknown> =>
    dialOnce(modem, endpoint, quietMs, { ...request, path: prefix + request.path }, mode);
  return {
    quietMs,
    call: async <T>(request: EngineRequest) => sensible(await dial(request, {})) as T,
    stream: async (request) => {
      const answer = (await dial(request, { isStream: true })) as Readable;
      if (request.moves !== true) return answer;
      return Readable.from(whileProgressing(answer, quietMs), { objectMode: false });
    },
    hijack: async (request) =>
      (await dial(request, { isStream: true, hijack: true, openStdin: true, allowEmpty: true })) as Duplex,
  };
}

/** What is no JSON comes as text; of the engine only nothing, `null` and `OK` do. A proxy's page must not pass for an answer. */
function sensible(answer: unknown): unknown {
  if (typeof answer !== 'string' && !Buffer.isBuffer(answer)) return answer;
  const text = answer.toString('utf8').trim();
  if (['', 'null', 'OK'].includes(text)) return answer;
  throw new EngineError(502, `what came is no answer of a Docker Engine: ${text.slice(0, 80)}`);
}

async function dialOnce(
  modem: Modem,
  endpoint: Endpoint,
  quietMs: number,
  request: EngineRequest,
  mode: object,
): Promise<unknown> {
  const limit = new AbortController();
  const limits = limitOf(request, quietMs, limit);
  const streams = 'isStream' in mode;
  const passOn = (): void => limit.abort();
  if (request.signal?.aborted) throw cancelled(request.signal.reason);
  request.signal?.addEventListener('abort', passOn, { once: true });
  try {
    return await new Promise((resolve, reject) => {
      const options = dialOptions({ ...request, ...limits.file }, mode, limit.signal);
      modem.dial(options, (error, data) => (error ? reject(error) : resolve(data)));
    });
  } catch (error) {
    // Nobody takes the rest of it any more.
    if (limits.file.file instanceof Readable) limits.file.file.destroy();
    const translated = request.signal?.aborted ? cancelled(error) : translate(error, endpoint, limit.signal);
    // A request whose body was to go on would keep its connection, and the process with it.
    limit.abort();
    throw translated;
  } finally {
    limits.end();
    if (!streams) request.signal?.removeEventListener('abort', passOn);
  }
}

interface Limits {
  /** What is sent, as it is watched. */
  readonly file: Pick<EngineRequest, 'file'>;
  end(): void;
}

/** Aborts with a reason that says what the engine was given up for. */
function limitOf(request: EngineRequest, quietMs: number, limit: AbortController): Limits {
  const { file, limitMs = request.moves === true ? quietMs : defaultLimitMs } = request;
  if (request.moves === true && file instanceof Readable) {
    const watch = new QuietWatch(
      quietMs,
      () => Promise.reject(engineSilent(quietMs)),
      (error) => limit.abort(error),
    );
    return { file: { file: Readable.from(watched(file, watch), { objectMode: false }) }, end: () => watch.waitForUs() };
  }
  const timer = setTimeout(() => limit.abort(new LateAnswer(limitMs)), limitMs);
  return { file: file === undefined ? {} : { file }, end: () => clearTimeout(timer) };
}

class LateAnswer extends Error {
  override readonly name = 'LateAnswer';
  constructor(limitMs: number) {
    super(`no answer within ${limitMs} ms`);
  }
}

function dialOptions(request: EngineRequest, mode: object, signal: AbortSignal): object {
  const { body, file } = request;
  return {
    path: request.path + queryString(request.query ?? {}),
    method: request.method,
    options: body === undefined ? {} : { _query: {}, _body: body },
    abortSignal: signal,
    statusCodes: successes,
    ...(file === undefined ? {} : { file }),
    ...mode,
  };
}

/** An array becomes one parameter per element. The library drops the last character of a path with a query. */
function queryString(query: Readonly<Record<string, unknown>>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) parameters.append(name, String(one));
  }
  return parameters.size === 0 ? '' : `?${parameters.toString()}&`;
}

function translate(error: unknown, endpoint: Endpoint, { aborted, reason }: AbortSignal): Error {
  if (isOpencodeToolsError(error)) return error;
  if (aborted && isOpencodeToolsError(reason)) return reason;
  const { statusCode, json, message } = error as { statusCode?: number; json?: { message?: string }; message: string };
  if (statusCode !== undefined)
    return new EngineError(statusCode, json?.message ?? message.replace(/^\(HTTP code \d+\) .*? - /, ''));
  const said = aborted && reason instanceof LateAnswer ? reason.message : message;
  return new OpencodeToolsError('OCT_ENGINE_UNAVAILABLE', `The engine at ${endpoint.url} is not available: ${said}`, {
    details: { endpoint: endpoint.url, origin: endpoint.origin },
    cause: error,
  });
}

function cancelled(cause: unknown): OpencodeToolsError {
  return new OpencodeToolsError('OCT_CANCELLED', 'The call to the engine was cancelled', { cause });
}

/** Every key is set, so that nothing of this process's environment decides where the library connects. */
function connection(endpoint: Endpoint): object {
  const blank = {
    host: undefined,
    port: undefined,
    socketPath: undefined,
    ca: undefined,
    cert: undefined,
    key: undefined,
  };
  const socket = /^(?:unix|npipe):\/\/(.+)$/.exec(endpoint.url);
  if (socket) return { ...blank, agent: new EngineAgent(), protocol: 'http', socketPath: socket[1] };
  const url = parseUrl(endpoint);
  const secure = url.protocol === 'https:' || endpoint.certificates !== undefined;
  const base = {
    ...blank,
    protocol: secure ? 'https' : 'http',
    host: url.hostname,
    port: url.port || (secure ? 2376 : 2375),
  };
  if (!endpoint.certificates) return base;
  const read = (name: string): string => readFileSync(join(endpoint.certificates ?? '', name), 'utf8');
  return { ...base, ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem') };
}

function parseUrl(endpoint: Endpoint): URL {
  if (URL.canParse(endpoint.url)) return new URL(endpoint.url);
  throw new OpencodeToolsError('OCT_INVALID_CONFIG', `Not an engine address (${endpoint.origin}): ${endpoint.url}`, {
    remedy: 'Use unix:///path or tcp://host:port.',
  });
}
