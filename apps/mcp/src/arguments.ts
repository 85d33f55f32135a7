/** What the command line asks for. */
export type Arguments =
  | { readonly kind: 'serve'; readonly home?: string; readonly configFile?: string }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'invalid'; readonly message: string };

const valued = { '--home': 'home', '--config': 'configFile' } as const;

export const usage = `Usage: opencode-tools-mcp [options]

Serves the tools of opencode-tools over MCP on standard input and output, until the input ends.

Options:
  --home <directory>  home directory (default: OPENCODE_TOOLS_HOME, else the platform's data directory)
  --config <file>     configuration file to read in place of the project's
  --version           print the version
  --help              print this text
`;

/** Reads the arguments after the script name; options may be written `--home x` or `--home=x`. */
export function readArguments(argv: readonly string[]): Arguments {
  const values: { home?: string; configFile?: string } = {};
  for (let index = 0; index < argv.length; index += 1) {
    const argument = argv[index] ?? '';
    if (argument === '--help' || argument === '-h') return { kind: 'help' };
    if (argument === '--version' || argument === '-V') return { kind: 'version' };
    const [name = '', ...rest] = argument.split('=');
    if (!isValued(name)) return { kind: 'invalid', message: `unknown argument: ${argument}` };
    const value = rest.length > 0 ? rest.join('=') : argv[(index += 1)];
    if (value === undefined || value === '') return { kind: 'invalid', message: `${name} needs a value` };
    values[valued[name]] = value;
  }
  return { kind: 'serve', ...values };
}

function isValued(name: string): name is keyof typeof valued {
  return Object.hasOwn(valued, name);
}
