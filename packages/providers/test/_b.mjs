import { createServer } from "node:http"
import { Effect, Layer, Stream, Redacted, Cause } from "effect"
import { HttpClient, HttpClientRequest, HttpBody } from "effect/http"
import { Llm } from "@echelon/core"
import * as Wire from "../src/Wire.ts"
import { Instance, Transport, ClientFactory } from "@echelon/providers"
import { Agent } from "@effect/platform-node/Undici"
const agent=new Agent({connections:256})
const body=JSON.stringify({id:"r",choices:[{index:0,message:{content:"hello"},finish_reason:"stop"}],usage:{prompt_tokens:1,completion_tokens:1}})
const sse=Array.from({length:50},(_,i)=>`data: {"id":"r","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"word${i} "},"finish_reason":null}]}\n\n`).join("")+`data: {"id":"r","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n`
const server=createServer((q,s)=>{let b="";q.on("data",d=>b+=d);q.on("end",()=>{ if(b.includes('"stream":true')){s.writeHead(200,{"content-type":"text/event-stream"});s.end(sse)}else{s.writeHead(200,{"content-type":"application/json","content-length":body.length});s.end(body)}})})
await new Promise(r=>server.listen(0,"127.0.0.1",r)); const url=`http://127.0.0.1:${server.address().port}`
const key=Redacted.make("k")
const provider={...ClientFactory.providerOf("openai",key),baseUrl:url}
const inst={_tag:"Instance",name:"i",provider,credential:{name:"",key,weight:1},alias:"m",model:{model:"m",capabilities:{},prices:undefined,weight:1,limits:{}}}
const scripted=Llm.make({id:"s",open:()=>Effect.sync(()=>{let done=false;return Effect.suspend(()=>{if(done)return Cause.done();done=true;return Effect.succeed([{type:"text-delta",id:"0",delta:"x"},{type:"finish",reason:"stop",usage:{inputTokens:{},outputTokens:{}}}])})})})
await Effect.runPromise(Effect.scoped(Effect.gen(function*(){
 const ctx=yield* Layer.build(Transport.layer)
 const {llm}=yield* Effect.provideContext(Instance.make(inst),ctx)
 const transport=yield* Effect.provideContext(Transport.Transport,ctx)
 const client=yield* transport.client(provider)
 const req=HttpClientRequest.post(url+"/x",{body:HttpBody.text("{}","application/json")})
 const target={url:Redacted.make(url+"/x"),headers:Redacted.make({authorization:"Bearer k"})}
 const time=async(name,f,c=8)=>{ let n=0; const cpu0=process.cpuUsage(); const end=performance.now()+(process.env.ONLY?3000:1200); const w=async()=>{while(performance.now()<end){await f();n++}}; await Promise.all(Array.from({length:c},w)); const cpu=process.cpuUsage(cpu0); console.log(name.padEnd(26),Math.round(n/3),"req/s",((cpu.user+cpu.system)/n).toFixed(0),"us cpu each") }
 const parts=[{type:"text-delta",id:"0",delta:"x"},{type:"finish",reason:"stop",usage:{inputTokens:{},outputTokens:{}}}]
 const src=(ps)=>{let done=false;return Effect.suspend(()=>{if(done)return Cause.done();done=true;return Effect.succeed(ps)})}
 const A=Llm.make({id:"a",open:()=>Effect.flatMap(Wire.send({client,target,origin:url,body:"{}",accept:"x",maxResponseBytes:1e6}),x=>Effect.map(x.text,()=>{x.finished();return src(parts)}))})
 const B=Llm.make({id:"b",open:()=>Effect.map(Effect.promise(()=>new Promise(r=>setImmediate(r))),()=>src(parts))})
 const C=Llm.make({id:"c",open:()=>Effect.map(Effect.promise(async()=>{const r=await agent.request({origin:url,path:"/x",method:"POST",body:"{}"});return r.body.json()}),()=>src(parts))})
 const all={
 "A wire+scripted":()=>Effect.runPromise(Llm.generate(A,{prompt:"x"})),
 "B immediate+scripted":()=>Effect.runPromise(Llm.generate(B,{prompt:"x"})),
 "C undici promise":()=>Effect.runPromise(Llm.generate(C,{prompt:"x"})),
 "bare undici":async()=>{const r=await agent.request({origin:url,path:"/x",method:"POST",body:"{}"});return r.body.json()},
 "bare undici stream":async()=>{const r=await agent.request({origin:url,path:"/x",method:"POST",body:'{"stream":true}'});return r.body.text()},
 "effect client .text":()=>Effect.runPromise(Effect.flatMap(client.execute(req),r=>r.text).pipe(Effect.provideService(HttpClient.TracerDisabledWhen,()=>true))),
 "Wire.text":()=>Effect.runPromise(Effect.scoped(Effect.flatMap(Wire.send({client,target,origin:url,body:"{}",accept:"x",maxResponseBytes:1e6}),x=>Effect.map(x.text,()=>{x.finished()})))),
 "llm":()=>Effect.runPromise(Llm.generate(llm,{prompt:"x"})),
 "llm stream":()=>Effect.runPromise(Stream.runDrain(Llm.stream(llm,{prompt:"x"}))),
 "scripted llm (no io)":()=>Effect.runPromise(Llm.generate(scripted,{prompt:"x"})),
 }
 for (let i=0;i<(process.env.ONLY?1:2);i++) for (const [k,f] of Object.entries(all)) if(!process.env.ONLY||k===process.env.ONLY) yield* Effect.promise(()=>time(k,f))
})))
server.close(); server.closeAllConnections(); agent.destroy()
