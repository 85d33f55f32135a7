import { readFileSync } from 'node:fs';
import { runCli } from '@opencode-tools/cli';

/**
 * Runs the command line and returns the exit code of the process. The first Ctrl-C or SIGTERM ends the work in good order,
 * the second the process. A terminal that goes away counts as SIGTERM.
 *
 * @param argv arguments after the script name
 */
export async function main(argv: readonly string[]): Promise<number> {
  const stopped = new AbortController();
  const stop = (signal: NodeJS.Signals) => {
    if (stopped.signal.aborted) process.exit(signal === 'SIGTERM' ? 143 : 130);
    stopped.abort(signal);
  };
  const hangUp = () => stop('SIGTERM');
  process.on('SIGINT', stop).on('SIGTERM', stop).on('SIGHUP', hangUp);
  try {
    return await runCli({
      argv,
      environment: process.env,
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
      isTty: process.stdout.isTTY,
      signal: stopped.signal,
      cwd: process.cwd(),
      version: productVersion(),
      openHome: async (options) => {
        const { openHome } = await import('@opencode-tools/toolkit');
        return openHome({ ...options, cwd: process.cwd(), environment: process.env });
      },
      maintainHome: async (options) => {
        const { maintainHome } = await import('@opencode-tools/toolkit');
        return maintainHome({ ...options, cwd: process.cwd(), environment: process.env });
      },
    });
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop).off('SIGHUP', hangUp);
  }
}

function productVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
}
