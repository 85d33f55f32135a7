/*
 * node --conditions=@opencode-tools/source bench/mcp-start.mjs [--rounds 20] [--json]
 *
 * What a client waits for the built MCP server: from its start to the answer to `initialize`, beside `node -e 0` from start to end.
 * The end of the server is not counted.
 */
import { fileURLToPath } from 'node:url';
import { startMcpServer } from './lib/mcp-client.mjs';
import { benchOptions, interleave, report, run, summarise } from './lib/measure.mjs';
import { cleanEnvironment, withTemporaryHome } from './lib/temporary-home.mjs';

const { json, rounds } = benchOptions(20);
const bin = fileURLToPath(new URL('../apps/mcp/dist/bin.cjs', import.meta.url));

await withTemporaryHome(async ({ directory }) => {
  const options = { env: cleanEnvironment({ OPENCODE_TOOLS_HOME: directory }), cwd: directory };
  const contestants = {
    'node -e 0': async () => void (await run(process.execPath, ['-e', '0'], options)),
    'opencode-tools-mcp to initialize': async () => {
      const from = performance.now();
      const server = await startMcpServer(bin, options);
      const ms = performance.now() - from;
      await server.close();
      return ms;
    },
  };
  const rows = summarise(await interleave(contestants, rounds), 'node -e 0');
  report('Start of the MCP server', rows, { json, bars: { initialize: 2 } });
});
