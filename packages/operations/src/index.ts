/**
 * What operating needs beyond effect.
 *
 * @since 0.1.0
 */
export * as AlertChannels from "./AlertChannels.ts"
export * as AlertDingTalk from "./AlertDingTalk.ts"
export * as AlertEmail from "./AlertEmail.ts"
export * as AlertFeishu from "./AlertFeishu.ts"
export * as AlertPost from "./AlertPost.ts"
export * as AlertSlack from "./AlertSlack.ts"
export * as AlertWebhook from "./AlertWebhook.ts"
export * as PostgresLedger from "./PostgresLedger.ts"
export * as PrometheusListener from "./PrometheusListener.ts"
export * as RouteFile from "./RouteFile.ts"
export * as RouteFileWriter from "./RouteFileWriter.ts"
export * as SqliteLedger from "./SqliteLedger.ts"
export * as SqliteProtocol from "./SqliteProtocol.ts"
export * as SqlLedger from "./SqlLedger.ts"
export * as SqlLedgerWriters from "./SqlLedgerWriters.ts"
export * as UsageStore from "./UsageStore.ts"
