import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runNode, script } from './run-node.ts';

const refused = { OPENCODE_TOOLS_NO_ENGINE_SETUP: '1' };

let directory: string;
let socket: string;
let server: Server;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ensure-engine-'));
  socket = join(directory, 'engine.sock');
  server = createServer((request, response) => {
    response.statusCode = request.url === '/_ping' ? 200 : 404;
    response.end('OK');
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
});

afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  rmSync(directory, { recursive: true, force: true });
});

function ensure(env: Readonly<Record<string, string>>) {
  return runNode([script('ensure-engine.mjs'), '--json'], { ...refused, ...env });
}

describe('ensuring an engine', () => {
  test('finds the one that DOCKER_HOST names', async () => {
    const { exitCode, stdout } = await ensure({ DOCKER_HOST: `unix://${socket}` });
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ endpoint: `unix://${socket}`, started: false });
  });

  test('finds the one of the selected Docker context', async () => {
    const id = createHash('sha256').update('mine').digest('hex');
    const meta = join(directory, 'contexts', 'meta', id);
    mkdirSync(meta, { recursive: true });
    writeFileSync(join(directory, 'config.json'), JSON.stringify({ currentContext: 'mine' }));
    writeFileSync(join(meta, 'meta.json'), JSON.stringify({ Endpoints: { docker: { Host: `unix://${socket}` } } }));
    const { stdout } = await ensure({ DOCKER_HOST: '', DOCKER_CONFIG: directory });
    expect(JSON.parse(stdout)).toEqual({ endpoint: `unix://${socket}`, started: false });
  });

  test('says what it asked and what to do, and exits 6, when the named one does not answer', async () => {
    const { exitCode, stdout, stderr } = await ensure({ DOCKER_HOST: `unix://${socket}.absent` });
    expect({ exitCode, stdout }).toEqual({ exitCode: 6, stdout: '' });
    expect(stderr).toContain(`DOCKER_HOST (unix://${socket}.absent): ENOENT`);
    expect(stderr).toContain('Start the engine that DOCKER_HOST names, or unset DOCKER_HOST.');
  });
});
