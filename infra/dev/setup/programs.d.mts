export type ProgramName = 'broker' | 'agent' | 'fence' | 'key-child' | 'fake-agent';
export declare const PROGRAMS: Readonly<Record<ProgramName, string>>;
export declare function programFile(root: string, name: ProgramName): string;
export declare function compiledFolder(root: string, user: string): string;
export declare function isProgramBuilt(root: string, name: ProgramName): boolean;
export declare function digestOf(root: string, inputs: readonly string[]): string | undefined;
