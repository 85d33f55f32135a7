import type { OutsideClaims } from '@opencode-tools/core';

/** What a call changed outside the claims of its session, as a field of a tool's result; none when nothing was found. */
export function outsideClaimsField(outside: OutsideClaims | undefined): { readonly outside_claims?: string[] } {
  const paths = outside?.paths ?? [];
  return paths.length === 0 ? {} : { outside_claims: paths.map((path) => path.toWellFormed()) };
}

/** The same as lines for a model. */
export function outsideClaimsLines(outside: OutsideClaims | undefined): readonly string[] {
  if (outside === undefined) return [];
  if (!outside.checked) return [`Not compared with the claims: ${outside.reason ?? 'the workspace could not be read'}`];
  if (outside.total === 0) return [];
  const more = outside.total - outside.paths.length;
  const listed = outside.paths.map((path) => path.toWellFormed().replaceAll('\n', '\\n')).join(', ');
  const perhaps = outside.uncertain ? ' (others ran commands meanwhile, it may be one of theirs)' : '';
  return [`Outside the claims of this session: ${listed}${more > 0 ? ` and ${more} more` : ''}${perhaps}`];
}
