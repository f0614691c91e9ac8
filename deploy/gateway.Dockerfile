# The gateway: gRPC and health; no tensor library in it. Built from the repository's root:
#   docker build -f deploy/gateway.Dockerfile -t flowmm-gateway .
FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
WORKDIR /source
COPY . .
RUN dotnet restore gateway/FlowMM.Gateway.csproj --locked-mode \
 && dotnet publish gateway/FlowMM.Gateway.csproj -c Release --no-restore -o /app

FROM mcr.microsoft.com/dotnet/aspnet:10.0
WORKDIR /app
COPY --from=build /app .
USER $APP_UID
ENV FlowMM__Gateway__Address=0.0.0.0
EXPOSE 5080 5081
ENTRYPOINT ["/app/flowmm-gateway"]
