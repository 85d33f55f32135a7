/** How far a token counter is raised past what was seen when more may have been given out elsewhere (ARCHITECTURE.md, epochs). */
export const tokenLeap = 2 ** 20;
