import { type Logger, type OpenHome, printable, silentLogger } from '@opencode-tools/core';
import { CLIENT_INFO_META_KEY, McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { runTool } from './run-tool.ts';
import { type ToolHost, createToolHost } from './tool-host.ts';
import { advertise, inputJsonSchema, outputJsonSchema } from './tool-schema.ts';
import { serverInstructions, toolTable } from './tool-table.ts';

export interface McpServerOptions {
  /** Opens the home at the first tool call; after a failure the next call tries again. */
  readonly open: () => Promise<OpenHome>;
  /** Version of the program, told to clients. */
  readonly version: string;
  readonly logger?: Logger;
}

/** The tools over one home, for any number of connections. */
export interface McpTools {
  /** Makes a server object of the SDK for one connection. All share home and heartbeats. */
  createServer(): McpServer;
  /** Ends heartbeats and closes the home; sessions and sandboxes stay. */
  close(): Promise<void>;
}

const serverName = 'opencode-tools';
/** Longest time, in milliseconds, that a client of the 2026 protocol may keep the list of tools; it never changes at run time. */
const listTtlMs = 3_600_000;

/**
 * Makes the MCP server: the tools over the services of a home.
 *
 * Handles, not connections, tie calls to tasks: any call may name any task and session. Sessions attached through this server
 * have their leases renewed until they end, the server closes, or the process dies.
 */
export function createMcpServer(options: McpServerOptions): McpTools {
  const host = createToolHost(options.open, options.logger ?? silentLogger);
  return { createServer: () => registerTools(options.version, host), close: () => host.close() };
}

function registerTools(version: string, host: ToolHost): McpServer {
  const hint = { ttlMs: listTtlMs, cacheScope: 'public' } as const;
  const server = new McpServer(
    { name: serverName, version },
    {
      instructions: serverInstructions,
      capabilities: { tools: { listChanged: false } },
      cacheHints: { 'tools/list': hint, 'server/discover': hint },
    },
  );
  for (const tool of toolTable) {
    const { name, title, description, annotations } = tool;
    const inputSchema = advertise(() => inputJsonSchema(tool));
    const outputSchema = advertise(() => outputJsonSchema(tool));
    server.registerTool(name, { title, description, annotations, inputSchema, outputSchema }, (args, context) =>
      runTool(tool, host, clientName(server, context), args, context.mcpReq),
    );
  }
  return server;
}

function clientName(server: McpServer, { mcpReq }: ServerContext): string {
  const envelope: Readonly<Record<string, unknown>> = { ...mcpReq.envelope };
  const info = envelope[CLIENT_INFO_META_KEY] ?? server.server.getClientVersion();
  const name = info !== null && typeof info === 'object' && 'name' in info ? String(info.name) : '';
  return printable(name).slice(0, 100) || 'mcp-client';
}
