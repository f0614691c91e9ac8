using FlowMM.Abstractions;
using FlowMM.Gateway.Files;
using FlowMM.Inference.V1;
using FlowMM.UnitTests.Gateway.Calls;
using Google.Protobuf;
using Grpc.Core;
using Microsoft.Extensions.Logging.Abstractions;
using Orleans.Runtime;
using Xunit;

namespace FlowMM.UnitTests.Gateway.Files;

/// <summary>An import that breaks: before its end nothing happened, at its end nobody knows.</summary>
public sealed class SessionFilesTests
{
    private readonly ScriptedCluster _script;
    private readonly SessionFiles _files;

    public SessionFilesTests()
    {
        (IClusterClient cluster, _script) = ScriptedCluster.Create();
        _files = new(cluster, NullLogger<SessionFiles>.Instance);
    }

    public static TheoryData<Exception> Interruptions => [new TimeoutException("late"), new SiloUnavailableException("10.0.0.7")];

    [Theory, MemberData(nameof(Interruptions), DisableDiscoveryEnumeration = true)]
    public async Task Import_LostAtItsEnd_IsSaidToBeUncertainAndNamesTheSession(Exception lost)
    {
        _script.Answers("Begin", () => Task.CompletedTask).Answers("Add", () => Task.CompletedTask).Answers("Finish", () => Task.FromException<SessionInfo>(lost));
        RefusedException refused = await Assert.ThrowsAsync<RefusedException>(Import);
        Assert.Equal((ErrorCode.Unavailable, 3), (refused.Code, _script.Calls.Count));
        Assert.Contains("session 's' was imported is not known", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Import_RefusedAtItsEnd_IsToldSo()
    {
        RefusedException damaged = new(ErrorCode.DataLoss, "damaged");
        _script.Answers("Begin", () => Task.CompletedTask).Answers("Add", () => Task.CompletedTask).Answers("Finish", () => Task.FromException<SessionInfo>(damaged));
        Assert.Same(damaged, await Assert.ThrowsAsync<RefusedException>(Import));
    }

    [Fact]
    public async Task Import_LostBeforeItsEnd_IsGivenUp()
    {
        _script.Answers("Begin", () => Task.CompletedTask).Answers("Add", () => Task.FromException(new TimeoutException())).Answers("GiveUp", () => Task.CompletedTask);
        await Assert.ThrowsAsync<TimeoutException>(Import);
        Assert.Equal(3, _script.Calls.Count);
    }

    private async Task Import()
    {
        CancellationToken token = TestContext.Current.CancellationToken;
        OnePiece file = new();
        await file.MoveNext(token);
        await _files.Import(new SessionKey("one", "s"), file, token);
    }

    private sealed class OnePiece : IAsyncStreamReader<ImportSessionRequest>
    {
        private int _read;

        public ImportSessionRequest Current { get; } = new() { Data = ByteString.CopyFromUtf8("piece") };

        public Task<bool> MoveNext(CancellationToken cancellationToken) => Task.FromResult(_read++ == 0);
    }
}
