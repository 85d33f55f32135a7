export { createMcpServer } from './create-mcp-server.ts';
export type { McpServerOptions, McpTools } from './create-mcp-server.ts';
export { describeTools } from './describe-tools.ts';
export type { ToolDescription } from './describe-tools.ts';
export { serveMcpStdio } from './serve-mcp-stdio.ts';
export type { McpConnection, ServeMcpStdioOptions } from './serve-mcp-stdio.ts';
export type { ToolAnnotations } from './tool.ts';
