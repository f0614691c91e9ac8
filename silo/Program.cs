using FlowMM.Silo.Hosting;
using Microsoft.Extensions.Hosting;

HostApplicationBuilder builder = Host.CreateApplicationBuilder(args);
builder.AddFlowMMSilo();
await builder.Build().RunAsync();
