using FlowMM.Gateway.Hosting;

WebApplicationBuilder builder = WebApplication.CreateBuilder(args);
builder.AddFlowMMGateway();

WebApplication app = builder.Build();
app.MapFlowMMGateway();
await app.RunAsync();
