using FlowMM.Silo.Drain;
using FlowMM.Silo.Hosting;
using Microsoft.Extensions.Hosting;

using SecondSignal second = new();
HostApplicationBuilder builder = Host.CreateApplicationBuilder(args);
builder.AddFlowMMSilo();
await builder.Build().RunAsync();
