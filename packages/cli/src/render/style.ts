type Paint = (text: string) => string;

/** Marks text for people; without colours every member returns its text as it is. */
export interface Style {
  readonly strong: Paint;
  readonly dim: Paint;
  readonly good: Paint;
  readonly warning: Paint;
  readonly bad: Paint;
}

export const plainStyle: Style = { strong: same, dim: same, good: same, warning: same, bad: same };

export const colourStyle: Style = {
  strong: (text) => `\u001b[1m${text}\u001b[22m`,
  dim: (text) => `\u001b[2m${text}\u001b[22m`,
  good: (text) => `\u001b[32m${text}\u001b[39m`,
  warning: (text) => `\u001b[33m${text}\u001b[39m`,
  bad: (text) => `\u001b[31m${text}\u001b[39m`,
};

/** Colours only on a terminal, and not when the person said no (https://no-color.org). */
export function chooseStyle(
  environment: Readonly<Record<string, string | undefined>>,
  options: { readonly isTty: boolean; readonly noColor: boolean },
): Style {
  const refused = options.noColor || (environment['NO_COLOR'] ?? '') !== '' || environment['TERM'] === 'dumb';
  return options.isTty && !refused ? colourStyle : plainStyle;
}

function same(text: string): string {
  return text;
}
