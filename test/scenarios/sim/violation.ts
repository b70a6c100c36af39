export type Violation = { readonly rule: string; readonly text: string };
