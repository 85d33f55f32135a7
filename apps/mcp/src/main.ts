/**
 * Runs the MCP server and returns the exit code of the process.
 *
 * @param argv arguments after the script name
 */
export async function main(argv: readonly string[]): Promise<number> {
  process.stderr.write(`unknown argument: ${argv.join(' ')}\n`);
  return 2;
}
