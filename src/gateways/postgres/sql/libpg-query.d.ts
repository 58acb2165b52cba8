// The package exports one shared instance; ours come from its factory, so that a crashed one can be thrown away.
declare module 'libpg-query/wasm/libpg-query.js' {
  export type PgQueryModule = {
    readonly HEAPU8: Uint8Array
    _malloc(sizeBytes: number): number
    _free(pointer: number): void
    _wasm_parse_query_raw(text: number): number
    _wasm_free_parse_result(result: number): void
    _wasm_scan(text: number): number
    _wasm_free_string(text: number): void
    getValue(pointer: number, type: 'i32'): number
    UTF8ToString(pointer: number): string
  }
  export type Options = {
    /** Emscripten's hook: makes the instance itself and hands it over. */
    instantiateWasm(imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance) => void): object
  }
  const factory: (options: Options) => Promise<PgQueryModule>
  export default factory
}

// What is used of it; the compiler's own declaration comes with the browser's library only.
declare namespace WebAssembly {
  type Imports = Readonly<Record<string, Readonly<Record<string, unknown>>>>
  interface Module {
    readonly [Symbol.toStringTag]: string
  }
  class Instance {
    constructor(module: Module, imports: Imports)
    readonly exports: Readonly<Record<string, unknown>>
  }
  function compile(bytes: Uint8Array): Promise<Module>
}
