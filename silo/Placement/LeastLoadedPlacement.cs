using FlowMM.Abstractions;
using Orleans.Placement;
using Orleans.Runtime;
using Orleans.Runtime.Placement;

namespace FlowMM.Silo.Placement;

/// <summary>A session is activated where there is most room, unless its caller says where.</summary>
[GenerateSerializer, Immutable, Alias("flowmm.LeastLoadedPlacement")]
internal sealed class LeastLoadedPlacement : PlacementStrategy;

/// <summary>Places a grain by <see cref="LeastLoadedPlacement"/>.</summary>
[AttributeUsage(AttributeTargets.Class)]
internal sealed class LeastLoadedPlacementAttribute() : PlacementAttribute(new LeastLoadedPlacement());

/// <summary>Runs in the silo that a call enters by: clients know nothing of nodes.</summary>
internal sealed class LeastLoadedDirector(LoadBoard board) : IPlacementDirector
{
    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        SiloAddress[] compatible = context.GetCompatibleSilos(target);
        if (IPlacementDirector.GetPlacementHint(target.RequestContextData, compatible) is { } hint)
        {
            return Task.FromResult(hint);
        }

        byte[] pictures = target.RequestContextData?.GetValueOrDefault(RequestKeys.Pictures) as byte[] ?? [];
        return Task.FromResult(board.Choose(compatible, PictureDigest.Unpack(pictures)));
    }
}
