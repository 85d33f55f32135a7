import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { errorCatalogue } from '@opencode-tools/core';
import { type ToolDescription, describeTools, serveMcpStdio } from '@opencode-tools/mcp-server';
import { openHome } from '@opencode-tools/toolkit';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

type Json = Readonly<Record<string, unknown>>;

let directory: string;
let server: ReturnType<typeof startServer>;

/** A real home whose engine is away, so that every tool gets as far as it can without one. */
function startServer() {
  const [stdin, stdout] = [new PassThrough(), new PassThrough()];
  const facts = (reference: string) => Promise.resolve({ id: `sha256:${reference}`, reference } as never);
  const environment = { OPENCODE_TOOLS_ENGINE_ENDPOINT: `unix://${directory}/no-engine.sock` };
  const open = () =>
    openHome({
      home: join(directory, 'home'),
      cwd: directory,
      environment,
      decorate: (ports) => ({ ...ports, images: { ...ports.images, ensure: facts } }),
    });
  const connection = serveMcpStdio({ open, version: '1.2.3', stdin, stdout });
  const waiting = new Map<number, (message: Json) => void>();
  createInterface({ input: stdout }).on('line', (line) => {
    const message = JSON.parse(line) as Json;
    waiting.get(Number(message['id']))?.(message);
  });
  let lastId = 0;
  const request = (method: string, params: object): Promise<Json> => {
    lastId += 1;
    const { promise, resolve } = Promise.withResolvers<Json>();
    waiting.set(lastId, resolve);
    stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: lastId, method, params })}\n`);
    return promise;
  };
  const call = async (name: string, args: unknown): Promise<Json> => {
    const { result, error } = await request('tools/call', { name, arguments: args });
    expect(error).toBeUndefined();
    return result as Json;
  };
  return { connection, request, call };
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'oct-any-input-'));
  server = startServer();
  const clientInfo = { name: 'any-input', version: '1' };
  await server.request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
});
afterAll(async () => {
  await server.connection.close();
  await rm(directory, { recursive: true, force: true });
});

const odd = fc.constantFrom<unknown>(
  '',
  ' ',
  '../../etc/passwd',
  '/no/such/place',
  '\u0000',
  '\ud800',
  'x'.repeat(100_000),
  'tsk_00000000000000000000000000',
  'ses_0000000000000000000000000z',
  '__proto__',
  '%s%n',
  "'; drop table tasks; --",
  -1,
  0,
  1.5,
  2 ** 53,
  1e308,
  null,
  true,
  [],
  {},
);

/** Mostly what the schema asks for, sometimes anything. */
function valueOf(schema: Json, known: Json): fc.Arbitrary<unknown> {
  const fitting = fittingValue(schema, known);
  return fc.oneof(
    { weight: 6, arbitrary: fitting },
    { weight: 2, arbitrary: odd },
    { weight: 1, arbitrary: fc.jsonValue() },
  );
}

function fittingValue(schema: Json, known: Json): fc.Arbitrary<unknown> {
  if (Array.isArray(schema['enum'])) return fc.constantFrom(...(schema['enum'] as unknown[]));
  switch (schema['type']) {
    case 'boolean':
      return fc.boolean();
    case 'integer':
    case 'number':
      return fc.integer({ min: 0, max: 2 });
    case 'array':
      return fc.array(valueOf((schema['items'] ?? {}) as Json, known), { maxLength: 3 });
    case 'object':
      return fc.dictionary(fc.string({ maxLength: 5 }), fc.string({ maxLength: 5 }), {
        maxKeys: 3,
        noNullPrototype: true,
      });
    default:
      return fc.oneof(
        fc.constantFrom(...Object.values(known)),
        fc.string({ maxLength: 20 }),
        fc.constantFrom('src/**', 'a', '**'),
      );
  }
}

/** Half the calls are as the schema says, so that they get past the checks; in the others any argument may be anything. */
function argumentsOf({ inputSchema }: ToolDescription, known: Json): fc.Arbitrary<Json> {
  const { properties = {}, required = [] } = inputSchema as unknown as {
    readonly properties?: Readonly<Record<string, Json>>;
    readonly required?: readonly string[];
  };
  const recordOf = (names: readonly string[], member: (name: string) => fc.Arbitrary<unknown>) =>
    fc.record(Object.fromEntries(names.map((name) => [name, member(name)])), {
      requiredKeys: names.filter((name) => required.includes(name)),
      noNullPrototype: true,
    });
  const names = Object.keys(properties);
  const schemaOf = (name: string): Json => properties[name] ?? {};
  const optional = names.filter((name) => !required.includes(name));
  const fitting = fc
    .subarray(optional, { maxLength: Math.min(2, optional.length) })
    .chain((some) =>
      recordOf([...required, ...some], (name) =>
        name in known ? fc.constant(known[name]) : fittingValue(schemaOf(name), known),
      ),
    );
  return fc.oneof(
    fitting,
    recordOf(names, (name) => valueOf(schemaOf(name), known)),
  );
}

describe.each(describeTools().map((tool) => [tool.name, tool] as const))('any input of %s', (name, tool) => {
  test('is done or refused with an error of the catalogue, and never an internal one', async () => {
    const created = await server.call('create_task_sandbox', { title: `For ${name}`, agent: 'build' });
    const { task_id, session_id } = created['structuredContent'] as Json;
    await fc.assert(
      fc.asyncProperty(argumentsOf(tool, { task_id, session_id }), async (args) => {
        const result = await server.call(name, args);
        const data = result['structuredContent'] as Json;
        if (result['isError'] !== true) return;
        expect(Object.keys(errorCatalogue)).toContain(data['code']);
        expect({ args, code: data['code'] }).not.toMatchObject({ code: 'OCT_INTERNAL' });
        expect(String(data['remedy'])).not.toBe('');
      }),
      { numRuns: 30 },
    );
    expect((await server.call('list_tasks', {}))['isError']).toBeUndefined();
  });
});

test.each([null, 7, 'text', [], { unknown: 1 }])('arguments that are %j are refused', async (args) => {
  for (const { name } of describeTools()) {
    const { result, error } = await server.request('tools/call', { name, arguments: args });
    const refused = error !== undefined || (result as Json)['isError'] === true;
    expect({ name, refused: refused || name === 'list_tasks' }).toEqual({ name, refused: true });
  }
});
