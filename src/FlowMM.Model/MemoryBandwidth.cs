using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using FlowMM.Model.Kernels;

namespace FlowMM.Model;

/// <summary>How fast this machine reads memory: the bound of decoding, which reads every weight for every step.</summary>
public static unsafe class MemoryBandwidth
{
    private const int Rounds = 8;

    /// <summary>Reads a block front to back on several threads, each its part, and keeps the fastest of eight rounds.</summary>
    /// <param name="threads">At least 1.</param>
    /// <param name="bytes">Of the block; many times the processor's caches. Default 512 MiB.</param>
    /// <returns>Bytes a second.</returns>
    public static double Read(int threads, long bytes = 512L << 20)
    {
        using PackedMatrix block = PackedMatrix.Zero((int)(bytes / (Panel.Group * sizeof(float))), Panel.Group);
        using WorkerTeam team = new(threads);
        Reading work = new(block.At(0, 0), block.Bytes);
        double best = double.MaxValue;
        for (int round = 0; round < Rounds; round++)
        {
            long began = Stopwatch.GetTimestamp();
            team.Run(work);
            best = Math.Min(best, Stopwatch.GetElapsedTime(began).TotalSeconds);
        }

        return block.Bytes / best;
    }

    private sealed class Reading(byte* start, long bytes) : ITeamWork
    {
        private double _sum;

        public void Run(WorkerTeam team, int worker)
        {
            long vectors = bytes / (4 * Vector512<byte>.Count), first = vectors * worker / team.Size, end = vectors * (worker + 1) / team.Size;
            _sum += Sum((float*)start + (first * 64), end - first);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static float Sum(float* from, long count)
        {
            Vector512<float> a = Vector512<float>.Zero, b = a, c = a, d = a;
            for (; count > 0; count--, from += 64)
            {
                a += Vector512.Load(from);
                b += Vector512.Load(from + 16);
                c += Vector512.Load(from + 32);
                d += Vector512.Load(from + 48);
            }

            return Vector512.Sum(a + b + c + d);
        }
    }
}
