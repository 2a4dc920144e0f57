/**
 * A scripted `Llm`, embedded providers and a server that misbehaves on purpose, for tests.
 *
 * @since 0.1.0
 */
export * as EmbeddedProviders from "./EmbeddedProviders.ts"
export * as FaultFront from "./FaultFront.ts"
export * as FaultServer from "./FaultServer.ts"
export * as FaultServerAnswer from "./FaultServerAnswer.ts"
export * as FaultServerAnthropic from "./FaultServerAnthropic.ts"
export * as FaultServerOpenAi from "./FaultServerOpenAi.ts"
export * as ScriptedLlm from "./ScriptedLlm.ts"
export * as SseCut from "./SseCut.ts"
