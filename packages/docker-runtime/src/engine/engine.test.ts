import { mkdtempSync, rmSync } from 'node:fs';
import { type RequestListener, type Server, createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Containers } from './containers.ts';
import { Engine } from './engine.ts';
import { EngineError, asPortError } from './engine-error.ts';

let directory: string;
let servers: Server[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'oct-engine-'));
  servers = [];
});
afterEach(async () => {
  for (const server of servers) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  rmSync(directory, { recursive: true });
});

async function listen(answer: RequestListener): Promise<string> {
  const path = join(directory, `${servers.length}.sock`);
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return path;
}

describe('an engine', () => {
  test('that says nothing is given up after its time limit', async () => {
    const engine = new Engine({}, `unix://${await listen(() => undefined)}`);
    await expect(engine.find()).rejects.toMatchObject({
      code: 'OCT_ENGINE_UNAVAILABLE',
      message: expect.stringContaining('no answer within 3000 ms'),
    });
  });

  test('that refuses a call is told from one that is not there', async () => {
    const path = await listen((request, response) => {
      response.statusCode = request.url === '/version' ? 200 : 409;
      response.end(request.url === '/version' ? '{"ApiVersion":"1.41"}' : '{"message":"in use"}');
    });
    const client = await new Engine({}, `unix://${path}`).client();
    const failed = await client.call({ method: 'GET', path: '/x' }).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(EngineError);
    expect(failed).toMatchObject({ status: 409, message: 'in use' });
    await expect(client.call({ method: 'GET', path: '/x', signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'OCT_CANCELLED',
    });
  });

  test.each([
    ['/var/lib/docker/overlay2/612f/merged/workspace', '/workspace'],
    ['/var/lib/docker/rootfs/612f/workspace', 'the place of a volume'],
  ])('an image with a file where a volume is mounted is told as such: %s', (source, place) => {
    const failed = new EngineError(500, `source ${source} is not directory`);
    expect(asPortError(failed, 'Making a sandbox')).toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      message: `Making a sandbox: the image has no directory at ${place}, but something else`,
      remedy: expect.stringMatching(/^Use an image that has a directory or nothing at /) as string,
      details: { argument: 'image' },
    });
  });

  test('whose proxy answers with a page in its place is said to fail', async () => {
    const path = await listen((request, response) => {
      response.end(request.url === '/version' ? '{"ApiVersion":"1.41"}' : '<html>Welcome</html>');
    });
    const client = await new Engine({}, `unix://${path}`).client();
    const failed = await client.call({ method: 'GET', path: '/x' }).catch((error: unknown) => error);
    expect(asPortError(failed, 'Asking')).toMatchObject({
      code: 'OCT_ENGINE_FAILED',
      message: 'Asking: the engine answered 502: what came is no answer of a Docker Engine: <html>Welcome</html>',
    });
  });

  test('that fails by itself is told from one that refuses, with what to do', async () => {
    const path = await listen((request, response) => {
      const url = request.url ?? '';
      response.statusCode = url === '/version' ? 200 : Number(url.slice(-3));
      response.end(url === '/version' ? '{"ApiVersion":"1.41"}' : '{"message":"layer store: bad"}');
    });
    const client = await new Engine({}, `unix://${path}`).client();
    const asked = async (status: number) =>
      client.call({ method: 'GET', path: `/x/${status}` }).catch((error: unknown) => asPortError(error, 'Looking'));
    for (const status of [500, 503])
      expect(await asked(status)).toMatchObject({
        code: 'OCT_ENGINE_FAILED',
        message: `Looking: the engine answered ${status}: layer store: bad`,
        remedy: expect.stringContaining("read the engine's log"),
        details: { status },
      });
    expect(await asked(400)).toMatchObject({ code: 'OCT_INTERNAL' });
  });

  test('that cannot freeze a container at once is asked again, and what else it refuses is not', async () => {
    const answers = ['unable to freeze: unknown', 'unable to freeze: unknown', '', 'not running'];
    const asked: string[] = [];
    const path = await listen((request, response) => {
      if (request.url === '/version') return response.end('{"ApiVersion":"1.41"}');
      asked.push(request.url ?? '');
      const message = answers[asked.length - 1];
      response.statusCode = message === '' ? 204 : 500;
      return response.end(message === '' ? '' : JSON.stringify({ message: `Cannot pause container x: ${message}` }));
    });
    const containers = new Containers(await new Engine({}, `unix://${path}`).client());
    await containers.act('x', 'pause');
    expect(asked).toHaveLength(3);
    await expect(containers.act('x', 'pause')).rejects.toThrow('not running');
    expect(asked).toHaveLength(4);
  });

  test('that is too old is refused, and the message says what to do', async () => {
    const path = await listen((_request, response) => response.end('{"ApiVersion":"1.40","MinAPIVersion":"1.12"}'));
    const other = await listen((_request, response) => response.end('{}'));
    await expect(new Engine({}, `unix://${path}`).find()).rejects.toMatchObject({
      code: 'OCT_ENGINE_UNAVAILABLE',
      message: expect.stringContaining('it speaks API 1.40, and 1.41 is needed: update it to Docker Engine 20.10'),
    });
    await expect(new Engine({}, `unix://${other}`).find()).rejects.toMatchObject({
      message: expect.stringContaining('it does not answer as a Docker Engine does'),
    });
  });

  test('is looked for in order, and each one that does not serve is told of', async () => {
    const home = join(directory, 'home');
    const endpoint = `${home}/.docker/run/docker.sock`;
    const environment = { HOME: home, DOCKER_HOST: `unix://${endpoint}` };
    await expect(new Engine(environment).find()).rejects.toMatchObject({
      message: `No Docker Engine answers:\n  unix://${endpoint} (DOCKER_HOST): no such socket`,
      details: { answers: [{ endpoint: `unix://${endpoint}`, origin: 'DOCKER_HOST', message: 'no such socket' }] },
    });
  });

  test.each([
    [
      { DOCKER_CONTEXT: 'nonsuch', HOME: '/nowhere' },
      'DOCKER_CONTEXT nonsuch: there is no such context',
      /docker context ls/,
    ],
    [
      { DOCKER_HOST: 'ssh://x@127.0.0.1' },
      'ssh://x@127.0.0.1 (DOCKER_HOST): addresses with ssh:// are not supported',
      /ssh -nNT -L/,
    ],
    [
      { DOCKER_HOST: 'ftp://x' },
      'ftp://x (DOCKER_HOST): it is no address of an engine',
      /unix:\/\/\/path or tcp:\/\/host:port/,
    ],
    [{ DOCKER_HOST: 'tcp://' }, 'tcp:// (DOCKER_HOST): it is no address of an engine', /unix:\/\/\/path/],
  ])('that cannot be reached under %j is told of with the reason and a way out', async (environment, line, remedy) => {
    const warnings: unknown[] = [];
    const warned = (warning: unknown) => void warnings.push(warning);
    process.on('warning', warned);
    await expect(new Engine(environment).find()).rejects.toMatchObject({
      code: 'OCT_ENGINE_UNAVAILABLE',
      message: `No Docker Engine answers:\n  ${line}`,
      remedy: expect.stringMatching(remedy),
    });
    process.off('warning', warned);
    expect(warnings).toEqual([]);
  });

  test('is asked for what was meant, query and body included', async () => {
    const seen: string[] = [];
    const path = await listen((request, response) => {
      request.on('data', (chunk: Buffer) => seen.push(chunk.toString()));
      request.on('end', () => {
        seen.push(request.url ?? '');
        response.end(request.url === '/version' ? '{"ApiVersion":"1.52","MinAPIVersion":"1.44"}' : '{"ok":true}');
      });
    });
    const client = await new Engine({ DOCKER_HOST: 'tcp://127.0.0.1:1' }, `unix://${path}`).client();
    const query = { t: ['a:1', 'b c'], all: true };
    expect(await client.call({ method: 'POST', path: '/build', query, body: { A: 1 } })).toEqual({ ok: true });
    expect(seen.map((line) => line.replace(/&$/, ''))).toEqual([
      '/version',
      '{"A":1}',
      '/v1.44/build?t=a%3A1&t=b+c&all=true',
    ]);
  });
});
