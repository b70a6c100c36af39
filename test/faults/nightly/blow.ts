/** What a fault turned out to be. `nothing`: there was nothing that it could harm, so that the move survived nothing. */
export type Hit = { readonly hit: 'something' | 'nothing'; readonly notes: readonly string[] };

/** What was done. `seen`: asked once the move has ended, says what the product made of it; throws when it should have noticed and did not. */
export type Blow = Hit & { readonly seen?: () => Promise<Hit> };

export const hit = (...notes: readonly string[]): Hit => ({ hit: 'something', notes });
export const missed = (...notes: readonly string[]): Hit => ({ hit: 'nothing', notes });
