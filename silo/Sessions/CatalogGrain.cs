using System.Text.Json;
using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Silo.Store;
using Orleans.Concurrency;

namespace FlowMM.Silo.Sessions;

/// <summary>Creates and lists sessions at the store, on whichever node is asked.</summary>
[StatelessWorker]
internal sealed class CatalogGrain(ISessionStore store, SessionIndex index, InferenceEngine engine, Conversation conversation, TimeProvider time) : Grain, ICatalogGrain
{
    public async Task<SessionInfo> Create(string tenant, string session, SessionSpec spec, CancellationToken cancellationToken)
    {
        SamplingPlan.From(spec.Sampling);
        MergingPlan.From(spec.Merging);
        conversation.CheckText(spec.System);
        SessionKey key = new(tenant, session);
        SessionRecord fresh = new() { Spec = spec, CreateTime = time.GetUtcNow(), Model = engine.Model.Name, Epoch = 0, Turns = [] };
        if (await store.Create(key, fresh, null))
        {
            return SessionInfos.Of(key, fresh, default);
        }

        // It exists: its owner knows where its cache is.
        SessionInfo existing = await GrainFactory.GetGrain<ISessionGrain>(key.ToString()).Get(cancellationToken);
        return Json(existing.Spec) == Json(spec)
            ? existing
            : throw new RefusedException(ErrorCode.AlreadyExists, $"Session '{session}' exists with other options.");
    }

    public Task<SessionPage> List(string tenant, string after, int take, CancellationToken cancellationToken) => index.Page(tenant, after, take);

    private static string Json(SessionSpec spec) => JsonSerializer.Serialize(spec, RecordJson.Default.SessionSpec);
}
