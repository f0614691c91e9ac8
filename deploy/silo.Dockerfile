# A silo that computes on the CPU, with the shipped model. Built from the repository's root:
#   docker build -f deploy/silo.Dockerfile -t flowmm-silo .
FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
WORKDIR /source
COPY . .
RUN dotnet restore silo/FlowMM.Silo.csproj --locked-mode \
 && dotnet publish silo/FlowMM.Silo.csproj -c Release --no-restore -o /app

FROM mcr.microsoft.com/dotnet/aspnet:10.0
WORKDIR /app
COPY --from=build /app .
COPY models/tiny /models/tiny
USER $APP_UID
ENV FlowMM__Model__Path=/models/tiny \
    FlowMM__Silo__Port=11111 \
    FlowMM__Silo__GatewayPort=30000 \
    OMP_WAIT_POLICY=PASSIVE
EXPOSE 11111 30000
# The program itself is process 1, so SIGTERM reaches it.
ENTRYPOINT ["/app/flowmm-silo"]
