using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Model;
using Orleans.Concurrency;

namespace FlowMM.Silo.Sessions;

/// <summary>Answers questions about the model on whichever node is asked.</summary>
[StatelessWorker]
internal sealed class ModelGrain(InferenceEngine engine, Conversation conversation) : Grain, IModelGrain
{
    public Task<ModelInfo> Describe(CancellationToken cancellationToken)
    {
        ChatModel model = engine.Model;
        return Task.FromResult(new ModelInfo
        {
            Model = model.Name,
            Architecture = model.Architecture,
            Digest = model.Digest,
            ContextLength = model.ContextLength,
            Vocabulary = model.Vocabulary,
            CacheBytesPerToken = model.CacheShape.BytesPerToken(model.Dtype),
            TokensPerImage = model.TokensPerImage,
            Device = string.Join(", ", model.LayerDevices.Select(d => d.ToString()).Distinct()),
        });
    }

    public Task<TokenCount> CountTokens(string system, IReadOnlyList<MessagePart> parts, CancellationToken cancellationToken) =>
        Task.FromResult(conversation.Count(system, parts));
}
