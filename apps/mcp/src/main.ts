import { readFileSync } from 'node:fs';
import type { Logger, OpenHome } from '@opencode-tools/core';
import { serveMcpStdio } from '@opencode-tools/mcp-server';
import { type Arguments, readArguments, usage } from './arguments.ts';
import { takeStdout } from './take-stdout.ts';

/** Longest time between the end of the connection and the end of the process: a server without a client is an orphan. */
const exitAfterMs = 5_000;

/**
 * Runs the MCP server until its client is gone, and returns the exit code of the process.
 *
 * @param argv arguments after the script name
 */
export async function main(argv: readonly string[]): Promise<number> {
  const wanted = readArguments(argv);
  if (wanted.kind === 'serve') return await serve(wanted);
  if (wanted.kind === 'invalid') {
    process.stderr.write(`opencode-tools-mcp: ${wanted.message}\nRemedy: see opencode-tools-mcp --help\n`);
    return 2;
  }
  process.stdout.write(wanted.kind === 'help' ? usage : `${readVersion()}\n`);
  return 0;
}

async function serve(wanted: Extract<Arguments, { readonly kind: 'serve' }>): Promise<number> {
  const connection = serveMcpStdio({
    open: () => open(wanted),
    version: readVersion(),
    logger: stderrLogger,
    stdin: process.stdin,
    stdout: takeStdout(process.stdout, process.stderr),
  });
  const exitSoon = () => void setTimeout(() => process.exit(0), exitAfterMs).unref();
  for (const end of ['end', 'close'] as const) process.stdin.once(end, exitSoon);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      exitSoon();
      void connection.close();
    });
  }
  await connection.closed;
  return 0;
}

/** Everything behind the tools is loaded at the first call: a client that only connects waits for none of it. */
async function open({ home, configFile }: { readonly home?: string; readonly configFile?: string }): Promise<OpenHome> {
  const { openHome } = await import('@opencode-tools/toolkit');
  const opened = await openHome({
    cwd: process.cwd(),
    environment: process.env,
    logger: stderrLogger,
    ...(home === undefined ? {} : { home }),
    ...(configFile === undefined ? {} : { configFile }),
  });
  // A server stays, so it may keep sandboxes ready and tidy up; commands that end soon never do.
  opened.services.housekeeper.start();
  return opened;
}

const stderrLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: (message, fields) => void process.stderr.write(`${JSON.stringify({ level: 'warn', message, ...fields })}\n`),
};

function readVersion(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { readonly version: string }).version;
}
