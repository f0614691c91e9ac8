# A silo that computes on an NVIDIA device (CUDA's libraries come with the packages, the driver with the host). Built from the repository's root:
#   docker build -f deploy/silo-cuda.Dockerfile -t flowmm-silo-cuda .
#   docker run --gpus all ...
FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
WORKDIR /source
COPY . .
# The lock files are those of the CPU build.
RUN dotnet publish silo/FlowMM.Silo.csproj -c Release -p:FlowMMDevice=cuda -p:RestorePackagesWithLockFile=false -o /app

FROM mcr.microsoft.com/dotnet/aspnet:10.0
WORKDIR /app
COPY --from=build /app .
COPY models/tiny /models/tiny
USER $APP_UID
ENV FlowMM__Model__Path=/models/tiny \
    FlowMM__Engine__Device=cuda:0 \
    FlowMM__Silo__Port=11111 \
    FlowMM__Silo__GatewayPort=30000 \
    OMP_WAIT_POLICY=PASSIVE \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
EXPOSE 11111 30000
ENTRYPOINT ["/app/flowmm-silo"]
